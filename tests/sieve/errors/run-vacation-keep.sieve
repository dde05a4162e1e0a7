require "vacation"; vacation "away"; keep;
