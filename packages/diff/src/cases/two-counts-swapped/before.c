int f(int a) { if (a) { static int count; return ++count; } else { static int count; count += 7; return count; } }
