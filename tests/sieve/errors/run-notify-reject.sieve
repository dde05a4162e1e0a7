require ["reject", "enotify"]; notify "mailto:a@b.example"; reject "no";
