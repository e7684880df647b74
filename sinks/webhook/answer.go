package webhook

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answer is what became of one request.
type answer struct {
	status     int    // 0: err tells
	text       string // the first line of the body
	retryAfter time.Duration
	err        error
}

// final says that the same request would get the same answer again: the receiver
// does not want it. Timeouts, Too Early and Too Many Requests are about the
// moment, 5xx and redirects about the receiver.
func (a answer) final() bool {
	switch a.status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return a.status/100 == 4
}

func (a answer) String() string {
	if a.err != nil {
		return "nothing: " + a.err.Error()
	}
	s := fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
	if a.text != "" {
		s += ": " + a.text
	}
	return s
}

// firstLine keeps what fits into an error.
func firstLine(body []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(body), []byte("\n"))
	return strings.ToValidUTF8(string(line[:min(len(line), 200)]), "")
}

// retryAfter reads the header of that name: seconds, or a date. 0: nothing that
// can be read.
func retryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}
