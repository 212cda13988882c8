// Command greeter is a web server, and with the argument "work" a worker.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

// version is set by the linker, from the build argument VERSION.
var version = "dev"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "work" {
		for range time.Tick(time.Minute) {
			log.Println("worked", version)
		}
	}
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "Hello from", version) })
	log.Fatal(http.ListenAndServe(":8080", nil))
}
