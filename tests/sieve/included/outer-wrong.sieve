require "include"; include "wrong";
