if anyof (exists, true, header) { keep; } else { keep 1; }
