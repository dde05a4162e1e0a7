redirect "u0@b.example";
redirect "u1@b.example";
redirect "u2@b.example";
redirect "u3@b.example";
redirect "u4@b.example";
