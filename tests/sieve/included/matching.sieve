require "variables"; if string :matches "xyz" "x*" { set "a" "${1}"; }
