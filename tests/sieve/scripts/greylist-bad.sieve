require "vnd.columba.greylist";
if greylist :delay 300 :window 60 { stop; }
if greylist :forever { stop; }
