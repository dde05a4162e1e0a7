require ["fileinto", "none-1", "none-2"];
require "none-3";
keep;
require "envelope";
if true { require "envelope"; }
