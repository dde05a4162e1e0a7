redirect "c@d.example";
