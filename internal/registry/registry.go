// Package registry turns records whose schema a registry keeps (Confluent's wire
// format: a zero byte, the schema's id, the message) into JSON objects. Avro,
// JSON Schema and Protobuf are told apart by what the registry says of the id.
package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/nudged/nudged/internal/input"
)

// Registry decodes records. Schemas are asked for once and kept. It may be used
// by several goroutines.
type Registry struct {
	client *sr.Client
	now    func() time.Time

	mu      sync.RWMutex
	schemas map[int]schema
	absent  map[int]time.Time // ids that the registry did not know, until when that is believed

	fetch sync.Mutex // held over questions to the registry
}

// schema decodes messages of one schema.
type schema interface {
	// appendJSON appends the message as a JSON object. name is that of its type.
	appendJSON(dst, message []byte) (json []byte, name string, err error)
}

// Unavailable says that the registry did not answer, or refuses us: the record
// may be fine.
type Unavailable struct{ error }

// Temporary says that asking again may help.
func (Unavailable) Temporary() bool { return true }

// Unwrap returns the cause.
func (u Unavailable) Unwrap() error { return u.error }

const (
	// absentFor is how long an id is taken for unknown without asking again.
	// Ids are given out one after the other: it may come to be.
	absentFor = 10 * time.Second
	// maxAbsent bounds how many of them are remembered.
	maxAbsent = 4096
	// callTimeout bounds one request.
	callTimeout = 5 * time.Second
)

// New returns a Registry. Nothing is asked before the first record. now reads
// the clock.
func New(c input.Registry, now func() time.Time) (*Registry, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("input.registry.ca_file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("input.registry.ca_file: %s holds no certificate", c.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	opts := []sr.ClientOpt{
		sr.URLs(c.URLs...), sr.UserAgent("nudged"),
		sr.HTTPClient(&http.Client{Timeout: callTimeout, Transport: transport}),
	}
	if c.Username != "" {
		opts = append(opts, sr.BasicAuth(c.Username, c.Password))
	}
	client, err := sr.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("input.registry: %w", err)
	}
	return &Registry{client: client, now: now, schemas: map[int]schema{}, absent: map[int]time.Time{}}, nil
}

// AppendJSON appends a record's message to dst as a JSON object, and returns the
// name of its type, "" if it has none. Unavailable says that the registry could
// not be asked; any other error that the record is no message.
func (r *Registry) AppendJSON(ctx context.Context, dst, value []byte) (json []byte, name string, err error) {
	id, message, err := new(sr.ConfluentHeader).DecodeID(value)
	if err != nil {
		return dst, "", errors.New("the record does not begin with a zero byte and the four bytes of a schema id, as records by a schema registry do")
	}
	s, err := r.schema(ctx, id)
	if err != nil {
		return dst, "", err
	}
	json, name, err = s.appendJSON(dst, message)
	if err != nil {
		return dst, "", fmt.Errorf("the record does not fit its schema %d: %w", id, err)
	}
	return json, name, nil
}

// schema finds the schema of an id.
func (r *Registry) schema(ctx context.Context, id int) (schema, error) {
	if s, err := r.known(id); s != nil || err != nil {
		return s, err
	}
	r.fetch.Lock()
	defer r.fetch.Unlock()
	if s, err := r.known(id); s != nil || err != nil { // somebody else has asked
		return s, err
	}
	text, err := r.client.SchemaByID(ctx, id)
	switch {
	case isAbsent(err):
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.absent) >= maxAbsent {
			clear(r.absent)
		}
		r.absent[id] = r.now().Add(absentFor)
		return nil, unknown(id)
	case err != nil:
		return nil, Unavailable{fmt.Errorf("ask the schema registry for schema %d: %w", id, err)}
	}
	s, err := r.compile(ctx, id, text)
	var away Unavailable
	switch {
	case errors.As(err, &away):
		return nil, away
	case err != nil:
		// It will not get better: schemas do not change.
		s = unusable{err}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.schemas[id] = s
	return s, nil
}

// known looks a schema up among those that were asked for before.
func (r *Registry) known(id int) (schema, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if s := r.schemas[id]; s != nil {
		return s, nil
	}
	if until, ok := r.absent[id]; ok && r.now().Before(until) {
		return nil, unknown(id)
	}
	return nil, nil
}

func unknown(id int) error { return fmt.Errorf("the schema registry does not know schema %d", id) }

func isAbsent(err error) bool {
	var response *sr.ResponseError
	return errors.As(err, &response) && (response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusUnprocessableEntity)
}

// compile makes a schema of its text.
func (r *Registry) compile(ctx context.Context, id int, text sr.Schema) (schema, error) {
	references, err := r.references(ctx, text.References)
	if err != nil {
		return nil, err
	}
	switch text.Type {
	case sr.TypeAvro:
		return newAvro(text.Schema, references)
	case sr.TypeProtobuf:
		return newProtobuf(ctx, id, text.Schema, references)
	case sr.TypeJSON:
		return newJSON(text.Schema), nil
	}
	return nil, fmt.Errorf("it is of type %s: Avro, Protobuf or JSON Schema is expected", text.Type)
}

// reference is a schema that another one builds on, by the name that it uses.
type reference struct{ name, text string }

// maxReferences bounds how many schemas one may build on.
const maxReferences = 200

// references fetches what a schema builds on, directly and indirectly, each
// behind what it builds on itself.
func (r *Registry) references(ctx context.Context, of []sr.SchemaReference) ([]reference, error) {
	var out []reference
	seen := map[string]bool{}
	var visit func(of []sr.SchemaReference) error
	visit = func(of []sr.SchemaReference) error {
		for _, ref := range of {
			if seen[ref.Name] {
				continue
			}
			if seen[ref.Name] = true; len(seen) > maxReferences {
				return fmt.Errorf("it builds on more than %d schemas", maxReferences)
			}
			got, err := r.client.SchemaByVersion(ctx, ref.Subject, ref.Version)
			if isAbsent(err) {
				return fmt.Errorf("it builds on %s, version %d, which the schema registry does not know", ref.Subject, ref.Version)
			} else if err != nil {
				return Unavailable{fmt.Errorf("ask the schema registry for %s, version %d: %w", ref.Subject, ref.Version, err)}
			}
			if err := visit(got.References); err != nil {
				return err
			}
			out = append(out, reference{ref.Name, got.Schema.Schema})
		}
		return nil
	}
	return out, visit(of)
}

// unusable is a schema that cannot be compiled.
type unusable struct{ err error }

func (u unusable) appendJSON(dst, _ []byte) ([]byte, string, error) {
	return dst, "", fmt.Errorf("the schema cannot be used: %w", u.err)
}
