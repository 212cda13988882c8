// Package sandbox owns the noun Sandbox: where a program runs that runs foreign code. What runs in it
// reaches the public internet and nothing of ours, uses no more than it was given, and does not outlive it.
package sandbox
