require ["foreverypart", "extracttext", "variables", "mime"];
break;
foreverypart :name "a" { break :name "b"; }
foreverypart;
foreverypart "x" { }
extracttext "v";
foreverypart { extracttext; }
foreverypart { extracttext :first "x" "v"; }
foreverypart { extracttext :lower :upper "v"; }
