keep true;
stop (true, false);
if (true, false) { }
if not (true) { }
if allof true { }
if anyof { }
if true false { }
