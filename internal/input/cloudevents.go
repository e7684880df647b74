package input

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/go-faster/jx"

	"github.com/nudged/nudged/rules"
)

// openCloudEvent takes a CloudEvent apart, version 1.0
// (https://github.com/cloudevents/spec): in structured mode the value is the
// event in its JSON form, in binary mode the attributes are headers that begin
// with ce_ and the value is the data.
func openCloudEvent(u *Unwrapper, value []byte, headers Headers) (parts, error) {
	attributes, data, binary, err := u.cloudEventHeaders(headers)
	if err != nil {
		return parts{}, err
	}
	u.top = u.top[:0]
	if binary {
		u.top = append(u.top, attributes...)
		if err := u.cloudEventData(data, value); err != nil {
			return parts{}, err
		}
	} else if u.top, err = u.object(u.top, value); err != nil {
		return parts{}, err
	}
	return u.cloudEvent()
}

// cloudEventHeaders reads the attributes of binary mode.
func (u *Unwrapper) cloudEventHeaders(headers Headers) (attributes []member, contentType string, binary bool, err error) {
	if headers == nil {
		return nil, "", false, nil
	}
	for name, value := range headers {
		attribute, ours := strings.CutPrefix(strings.ToLower(name), "ce_")
		switch {
		case strings.EqualFold(name, "content-type"):
			contentType = string(value)
		case !ours:
		case !utf8.Valid(value):
			return nil, "", false, fmt.Errorf("header %s is not UTF-8", shorten([]byte(name)))
		default:
			if get(attributes, attribute) != nil {
				return nil, "", false, fmt.Errorf("header ce_%s is there twice", attribute)
			}
			w := jx.Writer{}
			w.ByteStr(value)
			attributes = append(attributes, member{attribute, w.Buf})
		}
	}
	if kind := mediaType(contentType); strings.HasPrefix(kind, "application/cloudevents") {
		if kind != "application/cloudevents+json" && kind != "application/cloudevents" {
			return nil, "", false, fmt.Errorf("a CloudEvent of content type %s cannot be read: the JSON form or binary mode is expected", shorten([]byte(kind)))
		}
		return nil, "", false, nil
	}
	return attributes, contentType, get(attributes, "specversion") != nil, nil
}

func mediaType(contentType string) string {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return strings.ToLower(strings.TrimSpace(contentType))
	}
	return kind
}

// isJSON says that data of a content type is JSON. Without one it is.
func isJSON(contentType string) bool {
	kind := mediaType(contentType)
	return kind == "" || kind == "application/json" || kind == "text/json" || strings.HasSuffix(kind, "+json")
}

// cloudEventData takes the data of binary mode in.
func (u *Unwrapper) cloudEventData(contentType string, value []byte) error {
	if len(bytes.TrimSpace(value)) == 0 {
		return nil
	}
	if isJSON(contentType) {
		if err := u.validate(value); err != nil {
			return fmt.Errorf("data: %w", err)
		}
		u.top = append(u.top, member{"data", bytes.TrimSpace(value)})
		return nil
	}
	w := jx.Writer{}
	w.ByteStr(value) // UTF-8 as every value
	u.top = append(u.top, member{"data", w.Buf})
	return nil
}

// validate sees that raw is one JSON value.
func (u *Unwrapper) validate(raw []byte) error {
	u.d.ResetBytes(raw)
	if err := u.d.Validate(); err != nil {
		return broken(err)
	}
	return nil
}

// cloudEvent finds what is what among the attributes.
func (u *Unwrapper) cloudEvent() (parts, error) {
	version, err := u.text(get(u.top, "specversion"), "specversion", "", false)
	if err != nil {
		return parts{}, errors.New("the record is no CloudEvent: it has no specversion, in the value or as header ce_specversion")
	}
	if string(version) != "1.0" {
		return parts{}, fmt.Errorf("the CloudEvent is of version %q: 1.0 is expected", shorten(version))
	}
	p := parts{user: get(u.top, "subject"), time: get(u.top, "time"), typ: get(u.top, "type")}
	if p.id, err = u.cloudEventID(); err != nil {
		return parts{}, err
	}
	data := get(u.top, "data")
	if encoded := get(u.top, "data_base64"); !absent(encoded) {
		if data != nil {
			return parts{}, errors.New("the CloudEvent has both data and data_base64")
		}
		if data, err = u.decodedData(encoded); err != nil {
			return parts{}, err
		}
		u.top = append(u.top, member{"data", data}) // for paths
	}
	switch {
	case absent(data):
	case data[0] == '{':
		members, err := u.object(nil, data)
		if err != nil {
			return parts{}, fmt.Errorf("data: %w", err)
		}
		p.rest = append(p.rest, part{name: "data", members: members})
	default:
		p.rest = append(p.rest, part{members: []member{{"data", data}}})
	}
	attributes := u.around("ce", []string{"data", "data_base64", "specversion", "id", "type", "time"})
	attributes.prefix = true
	p.rest = append(p.rest, attributes)
	return p, nil
}

// cloudEventID makes an id of source and id, which together tell an event from
// every other. One that would be too long is hashed.
func (u *Unwrapper) cloudEventID() ([]byte, error) {
	id, err := u.text(get(u.top, "id"), "id", "", false)
	if err != nil {
		return nil, err
	}
	source, err := u.text(get(u.top, "source"), "source", "", false)
	if err != nil {
		return nil, err
	}
	both := append(append(bytes.Clone(source), '#'), id...)
	if len(both) > rules.MaxIDLen {
		sum := sha256.Sum256(both)
		both = hex.AppendEncode(nil, sum[:16])
	}
	w := jx.Writer{}
	w.ByteStr(both)
	return w.Buf, nil
}

// decodedData returns data_base64 as JSON if that is what it holds, and as it
// stands otherwise.
func (u *Unwrapper) decodedData(encoded []byte) ([]byte, error) {
	text, err := u.text(encoded, "data_base64", "", false)
	if err != nil {
		return nil, err
	}
	plain, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return nil, fmt.Errorf("data_base64: %w", err)
	}
	contentType := ""
	if raw := get(u.top, "datacontenttype"); !absent(raw) {
		kind, err := u.text(raw, "datacontenttype", "", false)
		if err != nil {
			return nil, err
		}
		contentType = string(kind)
	}
	if contentType == "" || !isJSON(contentType) {
		return encoded, nil
	}
	if !utf8.Valid(plain) {
		return nil, errors.New("data_base64: the JSON is not UTF-8")
	}
	if err := u.validate(plain); err != nil {
		return nil, fmt.Errorf("data_base64: %w", err)
	}
	return bytes.TrimSpace(plain), nil
}
