// Package shared holds packages, never code: this map and the test that keeps it.
package shared
