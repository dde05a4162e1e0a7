require "special-use";
if specialuse_exists "Trash" { keep; }
if specialuse_exists { keep; }
