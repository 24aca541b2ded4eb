package facade

import (
	"encoding/json"
	"net/http"
	"strings"
)

// operatorPrefix is where operators' routes are. Their errors are problems of RFC 9457:
// no old client has to understand them.
const operatorPrefix = "/admin/"

type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
}

func isOperators(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, operatorPrefix) }

// writeProblem answers an operator with an error.
func writeProblem(w http.ResponseWriter, row published, sentence, requestID string) {
	body, err := json.Marshal(problem{
		Type: "about:blank", Title: http.StatusText(row.status), Status: row.status,
		Detail: strings.ToValidUTF8(sentence, "\uFFFD"), Code: string(row.code), RequestID: requestID,
	})
	if err != nil {
		body = []byte(`{}`) // strings and a number can always be written
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(row.status)
	_, _ = w.Write(body) // the client may be gone; the event line tells the status all the same
}
