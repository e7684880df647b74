package ruletest

import (
	"encoding/xml"
	"io"
	"strings"
	"time"
)

// Report is what came of a file of tests.
type Report struct {
	Path    string
	Err     error // the file, or the rules, cannot be read: no results
	Results []Outcome
}

// Outcome is what came of one test: a result, or an error of the test itself.
type Outcome struct {
	Test   *Test
	Result *Result
	Err    error
	Took   time.Duration
}

// Failed tells whether the test did not pass.
func (o *Outcome) Failed() bool { return o.Err != nil || o.Result.Failed() }

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name      string        `xml:"name,attr"`
	ClassName string        `xml:"classname,attr"`
	File      string        `xml:"file,attr"`
	Line      int           `xml:"line,attr,omitempty"`
	Time      float64       `xml:"time,attr"`
	Failure   *junitMessage `xml:"failure"`
	Error     *junitMessage `xml:"error"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the reports as JUnit XML.
func WriteJUnit(w io.Writer, reports []Report) error {
	var all junitSuites
	for _, r := range reports {
		s := junitSuite{Name: r.Path}
		if r.Err != nil {
			s.Cases = append(s.Cases, junitCase{Name: "reading the file", ClassName: r.Path, File: r.Path, Error: message(r.Err.Error())})
			s.Tests, s.Errors = 1, 1
		}
		for i := range r.Results {
			o := &r.Results[i]
			c := junitCase{Name: o.Test.Name, ClassName: r.Path, File: r.Path, Line: o.Test.Line, Time: o.Took.Seconds()}
			s.Tests++
			switch {
			case o.Err != nil:
				c.Error = message(o.Err.Error())
				s.Errors++
			case o.Result.Failed():
				var b strings.Builder
				o.Result.Print(&b)
				c.Failure = message(b.String())
				c.Failure.Message = strings.Join(o.Result.Why, "; ")
				s.Failures++
			}
			s.Cases = append(s.Cases, c)
		}
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// message takes the first line as the summary.
func message(text string) *junitMessage {
	first, _, _ := strings.Cut(text, "\n")
	return &junitMessage{Message: first, Text: text}
}
