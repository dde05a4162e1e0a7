require "include"; include "keeps"; include "keeps";
