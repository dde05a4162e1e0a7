require "include"; include "keeps"; include "returns";
