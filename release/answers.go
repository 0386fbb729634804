package release

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"sync"
)

// Answers are small files that sources have sent, with what tells their server whether they changed since (RFC 9110,
// section 13): hosts that follow a channel ask for its marker again and again, and get 304 and nothing more. The zero value
// has none; as JSON it lasts from one run to the next.
type Answers struct {
	mu    sync.Mutex
	known map[string]markerFile
	fresh bool
}

// markerFile is one of them.
type markerFile struct {
	Body string `json:"body"`
	// ETag is the only thing that tells. By Last-Modified, a marker that was put back from a backup has not changed for many
	// servers, since it is older.
	ETag string `json:"etag"`
}

// mostAnswers bounds what is remembered; a host follows one channel, at a source or two.
const mostAnswers = 16

// answerKey hides a URL, which may hold a secret.
func answerKey(url string) string {
	sum := sha256.Sum256([]byte(url))
	return hex.EncodeToString(sum[:])
}

// Fresh reports whether something came that is not in the JSON yet.
func (a *Answers) Fresh() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fresh
}

// addCondition makes a request one for a file that is not the known one. On nil it does nothing.
func (a *Answers) addCondition(req *http.Request, url string) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, known := a.known[answerKey(url)]; known {
		req.Header.Set("If-None-Match", s.ETag)
	}
}

// unchanged returns the file that an answer 304 is about.
func (a *Answers) unchanged(url string) (body []byte, known bool) {
	if a == nil {
		return nil, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s, known := a.known[answerKey(url)]
	return []byte(s.Body), known
}

// keep remembers a file, if its server will be able to say whether it changed.
func (a *Answers) keep(url string, header http.Header, body []byte) {
	s := markerFile{Body: string(body), ETag: header.Get("ETag")}
	if a == nil || s.ETag == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= mostAnswers {
		a.known = map[string]markerFile{}
	}
	a.known[answerKey(url)], a.fresh = s, true
}

// MarshalJSON writes what is known.
func (a *Answers) MarshalJSON() ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return json.Marshal(a.known)
}

// UnmarshalJSON reads what MarshalJSON has written.
func (a *Answers) UnmarshalJSON(data []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known = nil
	return json.Unmarshal(data, &a.known)
}
