require ["redirect-dsn", "redirect-deliverby", "envelope"];
redirect :notify "SOMETIMES" "a@example.com";
redirect :ret "all" "a@example.com";
redirect :bytrace "a@example.com";
redirect :bytimerelative 3 :bytimeabsolute "2026-12-01T10:00:00Z" "a@example.com";
if envelope "notify" "x" { keep; }
