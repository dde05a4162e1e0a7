require "vnd.columba.callout";
if callout :mx { keep; }
