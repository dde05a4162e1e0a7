if anyof (true,, false) { keep; }
if anyof (true false) { keep; }
if anyof () { keep; }
if anyof (true; false) { keep; }
