package launch

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
)

// Asking is what a runner says of itself when it asks for its grant: the body of POST /grant.
type Asking struct {
	Job     job.ID `json:"job"`
	Attempt int    `json:"attempt"`
	// Machine is the id of the runner's machine, FLY_MACHINE_ID.
	Machine string `json:"machine"`
	// Ticket is FLYCD_TICKET, as Ticket made it.
	Ticket string `json:"ticket,omitempty"`
}

// TicketKey derives the key of tickets from the token that grants are narrowed from: who has that needs no ticket,
// and a token that is replaced makes its tickets worthless. Without a token there is no key, and no ticket is good.
func TicketKey(mint string) []byte {
	if mint = bare(mint); mint == "" {
		return nil
	}
	mac := hmac.New(sha256.New, []byte(mint))
	mac.Write([]byte("flycd ticket key 1"))
	return mac.Sum(nil)
}

// Ticket proves that the dispatcher launched a machine for an attempt at a job. The same arguments give the
// same ticket. It is good until the deadline, and only for one grant, which is bound to the machine that asks
// first; a machine's environment can be read with a token that may read the app, so it is no more than that.
func Ticket(key []byte, id job.ID, attempt int, deadline time.Time) string {
	until := strconv.FormatInt(deadline.Unix(), 10)
	return until + "." + base64.RawURLEncoding.EncodeToString(ticketSum(key, id, attempt, until))
}

// CheckTicket says whether the asker's ticket is one that Ticket made under key for the job and attempt that it
// names, and is still good. The error does not say more than whoever asked may know.
func CheckTicket(key []byte, a Asking, now time.Time) error {
	if len(key) == 0 {
		return errors.New("check ticket: no key is set")
	}
	until, sum, _ := strings.Cut(a.Ticket, ".")
	given, err := base64.RawURLEncoding.Strict().DecodeString(sum)
	if err != nil || !hmac.Equal(given, ticketSum(key, a.Job, a.Attempt, until)) {
		return fmt.Errorf("check ticket: it is not one for attempt %d at this job", a.Attempt)
	}
	seconds, err := strconv.ParseInt(until, 10, 64)
	if err != nil || !now.Before(time.Unix(seconds, 0)) {
		return errors.New("check ticket: its time is over")
	}
	return nil
}

func ticketSum(key []byte, id job.ID, attempt int, until string) []byte {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%q %d %q", string(id), attempt, until)
	return mac.Sum(nil)
}
