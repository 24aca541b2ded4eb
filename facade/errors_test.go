package facade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
)

// codes returns every constant of type dms.Code, read from its source.
func codes(t *testing.T) map[dms.Code]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../mapping/dms/error.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[dms.Code]bool)
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			continue
		}
		for _, spec := range gen.Specs {
			value, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			typ, ok := value.Type.(*ast.Ident)
			if !ok || typ.Name != "Code" || len(value.Values) != 1 {
				t.Fatalf("constant %v is not written as a Code with a value", value.Names)
			}
			text, err := strconv.Unquote(value.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all[dms.Code(text)] = true
		}
	}
	if len(all) < 40 {
		t.Fatalf("found only %d codes", len(all))
	}
	return all
}

func TestEveryCodeIsPublishedOnce(t *testing.T) {
	missing := codes(t)
	seen := make(map[dms.Code]bool)
	for _, row := range table() {
		if seen[row.code] {
			t.Errorf("code %s has two rows", row.code)
		}
		seen[row.code] = true
		if !missing[row.code] {
			t.Errorf("row %s has no code", row.code)
		}
		delete(missing, row.code)
	}
	for code := range missing {
		t.Errorf("code %s has no row", code)
	}
}

func TestErrorTable(t *testing.T) {
	var b strings.Builder
	for _, row := range table() {
		fmt.Fprintf(&b, "%-27s %d %-12s %s\n", row.code, row.status, row.text(), row.sentence)
	}
	golden(t, "errors.golden", b.String())
}

func TestEveryErrorIsFiveStrings(t *testing.T) {
	a := &API{errors: newErrorTable()}
	for _, row := range table() {
		for _, err := range []error{
			&dms.Error{Code: row.code},
			dms.Wrap(row.code, errors.New("secret cause")),
			dms.Errorf(row.code, "quote \" and \x00 and \xff and ünï"),
			fmt.Errorf("outer: %w", dms.Errorf(row.code, "inner")),
		} {
			rec := httptest.NewRecorder()
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			req = req.WithContext(context.WithValue(req.Context(), eventKey{}, &event{requestID: "r-12345678"}))
			a.writeError(rec, req, err)

			if rec.Code != row.status {
				t.Errorf("%v: status %d, want %d", err, rec.Code, row.status)
			}
			var body map[string]string
			if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
				t.Fatalf("%s: not an object of strings: %v", rec.Body, err)
			}
			if len(body) != 5 || body["error_msg"] == "" || body["error_msg"] != body["message"] || body["request_id"] != "r-12345678" {
				t.Errorf("the body is %s", rec.Body)
			}
			if body["error_code"] != row.text() || !strings.HasSuffix(row.text(), strings.TrimPrefix(body["code"], "APIGW.")) {
				t.Errorf("the codes are %q and %q, want %q", body["error_code"], body["code"], row.text())
			}
			if strings.Contains(rec.Body.String(), "secret") || strings.Contains(rec.Body.String(), "outer") {
				t.Errorf("the body shows what only operators may see: %s", rec.Body)
			}
			retry := row.status == 429 || row.status == 503
			if got := rec.Header().Get("Retry-After") != ""; got != retry {
				t.Errorf("%s: Retry-After given: %v, want %v", row.code, got, retry)
			}
		}
	}
}

func TestErrorsWithoutCodeAreTranslated(t *testing.T) {
	errs := newErrorTable()
	for _, c := range []struct {
		err  error
		want dms.Code
	}{
		{errors.New("disk on fire"), dms.Internal},
		{&dms.Error{Code: "not a code", Message: "hidden"}, dms.Internal},
		{fmt.Errorf("ask: %w", context.DeadlineExceeded), dms.Unavailable},
		{context.Canceled, dms.Unavailable},
	} {
		row, sentence := errs.lookup(c.err)
		if row.code != c.want || sentence != row.sentence {
			t.Errorf("%v becomes %s %q, want %s with its own sentence", c.err, row.code, sentence, c.want)
		}
	}
}

func TestPublishedNumbersThatClientsKnow(t *testing.T) {
	errs := newErrorTable()
	got := make(map[dms.Code]string)
	for _, code := range []dms.Code{
		dms.QueueExists, dms.GroupExists, dms.QueueNotFound, dms.GroupNotFound, dms.MessageTooBig, dms.BadLabelMatch,
		dms.TooManyRequests, dms.SignatureBad, dms.ProjectMismatch, dms.HandleInvalid, dms.HandleOfOther, dms.HandleOfOtherKind, dms.TagNotFound,
	} {
		got[code] = fmt.Sprint(errs[code].status, " ", errs[code].text(), " ", errs[code].codeString())
	}
	want := map[dms.Code]string{
		dms.QueueExists: "400 DMS.10240017 10240017", dms.GroupExists: "400 DMS.10240018 10240018",
		dms.QueueNotFound: "404 DMS.10240401 10240401", dms.GroupNotFound: "404 DMS.10240405 10240405",
		dms.MessageTooBig: "400 DMS.10540011 10540011", dms.BadLabelMatch: "400 DMS.10550035 10550035",
		dms.TooManyRequests: "429 DMS.10240407 10240407", dms.SignatureBad: "401 APIGW.0301 APIGW.0301",
		dms.ProjectMismatch: "401 DMS.10240104 10240104", dms.HandleInvalid: "400 DMS.10542209 10542209",
		dms.HandleOfOther: "400 DMS.10540004 10540004", dms.HandleOfOtherKind: "400 DMS.10542205 10542205",
		dms.TagNotFound: "404 DMS.10240426 10240426",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}
