package facade

import (
	"errors"
	"math"

	"dms/facade/strictjson"
	"dms/mapping/dms"
)

// bodyError gives what the reader of a body refused the code of the operation: one
// for text that is not JSON, one for members it does not take.
func bodyError(err error, notJSON, notTaken dms.Code) error {
	if e, ok := errors.AsType[*strictjson.Error](err); ok {
		if e.Syntax {
			return dms.Errorf(notJSON, "%s", e.Text)
		}
		return dms.Errorf(notTaken, "%s", e.Text)
	}
	return err
}

// manageError is bodyError for operations on queues, groups and tags.
func manageError(err error) error {
	return bodyError(err, dms.BadManageBody, dms.BadManageBody)
}

// whole reads a body that is one object.
func whole(body []byte, names []string, member func(r *strictjson.Reader, i int) error) error {
	r := strictjson.NewReader(body)
	if err := r.Object("the request body", names, func(i int) error { return member(r, i) }); err != nil {
		return err
	}
	return r.End()
}

// optional reads a value unless it is null, which counts as absent.
func optional[T any](r *strictjson.Reader, what string, read func(string) (T, error)) (*T, error) {
	if null, err := r.Null(); null || err != nil {
		return nil, err
	}
	v, err := read(what)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// wholeNumber reads a number without a fraction; code is for anything else.
func wholeNumber(r *strictjson.Reader, what string, code dms.Code) (int, error) {
	switch r.Kind() {
	case strictjson.String, strictjson.Bool, strictjson.Array, strictjson.Object:
		return 0, &dms.Error{Code: code}
	}
	f, err := r.Float(what)
	if err != nil {
		return 0, err
	}
	if f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		return 0, &dms.Error{Code: code}
	}
	return int(f), nil
}
