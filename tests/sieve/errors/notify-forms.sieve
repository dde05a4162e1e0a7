require "enotify";
notify;
notify "xmpp:a@b.example";
notify "mailto:no address";
notify :importance "4" "mailto:a@b.example";
notify :importance 1 "mailto:a@b.example";
notify :from "no address" "mailto:a@b.example";
notify :options "no value" "mailto:a@b.example";
