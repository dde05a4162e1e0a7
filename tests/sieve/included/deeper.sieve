require "include"; include "keeps";
