package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Headers of a signed request, after Standard Webhooks
// (https://www.standardwebhooks.com), for which there are libraries in most
// languages.
const (
	IDHeader        = "Webhook-Id"
	TimestampHeader = "Webhook-Timestamp"
	SignatureHeader = "Webhook-Signature"
)

const secretPrefix = "whsec_"

// signer holds the keys of the secrets.
type signer struct{ keys [][]byte }

func newSigner(secrets []string) (signer, error) {
	var s signer
	if len(secrets) == 0 {
		return s, errors.New("webhook: there is no secret to sign with")
	}
	for i, text := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, secretPrefix))
		if err != nil || !strings.HasPrefix(text, secretPrefix) || len(key) < 24 || len(key) > 64 {
			return s, fmt.Errorf("webhook: secret %d is not %s and the base64 of 24 to 64 random bytes; make one: echo %s$(openssl rand -base64 32)", i+1, secretPrefix, secretPrefix)
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// sign sets the headers: v1 is the HMAC-SHA256 of "<id>.<timestamp>.<body>", in
// base64, one for each secret, with a space between.
func (s signer) sign(h http.Header, id string, at time.Time, body []byte) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, len(s.keys))
	for i, key := range s.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	h.Set(IDHeader, id)
	h.Set(TimestampHeader, timestamp)
	h.Set(SignatureHeader, strings.Join(signatures, " "))
}
