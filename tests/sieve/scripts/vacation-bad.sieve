require ["vacation-seconds", "fcc"];
vacation :days 1 :seconds 3 "a";
vacation :from "nobody" "a";
vacation;
vacation :create :fcc "x" "a";
vacation :subject 3 "a";
