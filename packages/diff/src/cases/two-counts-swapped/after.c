int f(int a) { if (!a) { static int count; count += 7; return count; } else { static int count; return ++count; } }
