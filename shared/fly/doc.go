// Package fly observes and changes apps on Fly.
package fly
