keep "abc;
discard;
