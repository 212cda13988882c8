// Package queue keeps the jobs, the catalog and the history of FlyCD in Redis.
package queue
