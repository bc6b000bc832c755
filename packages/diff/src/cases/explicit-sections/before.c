#define IN(name) __attribute__((section(name)))
int IN(".spinlock.text") spin(int x) { return x + 1; }
int IN(".spinlock.text") spin_more(int x) { return x + 2; }
int IN(".cpuidle.text") idle(int x) { return x + 3; }
int IN(".ref.text") ref(int x) { return x + 4; }
int IN(".ref.text") ref_more(int x) { return x + 5; }
