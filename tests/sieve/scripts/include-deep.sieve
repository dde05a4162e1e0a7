require "include"; include "deeper";
