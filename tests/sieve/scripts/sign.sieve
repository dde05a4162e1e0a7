require ["vnd.columba.sign"];
sign ["a.example", "A.example", "b.example"];
seal "a.example";
