redirect "nobody";
redirect "a@";
redirect "@b.example";
redirect "a@b.example, c@d.example";
redirect "<a@b.example";
redirect "<@r.example:a@b.example>";
redirect "";
redirect "Name <a@b.example>";
