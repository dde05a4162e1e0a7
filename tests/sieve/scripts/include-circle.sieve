require "include"; include "circle-a";
