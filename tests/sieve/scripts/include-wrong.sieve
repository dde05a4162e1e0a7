require "include"; include "outer-wrong";
