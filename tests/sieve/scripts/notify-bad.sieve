require "enotify";
notify "tel:1";
notify "mailto:a";
notify :importance "4" "mailto:a@example.com";
notify :from "x" "mailto:a@example.com";
notify;
