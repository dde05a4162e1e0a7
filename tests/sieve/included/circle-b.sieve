require "include"; include :once "circle-a";
