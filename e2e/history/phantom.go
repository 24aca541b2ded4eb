package history

// Phantoms is K2: a delivered message that nobody sent to that queue, whose send was
// refused, that came before it was sent, or whose content is not what was sent. Altered
// dead letters belong to K9, and bodies of other tenants to K10.
func Phantoms(r *Run) []Violation {
	var out []Violation
	for _, s := range r.strays {
		if s.why == foreignBody || s.why == neverSent && r.cut {
			continue // with a cut history, its send may be in the missing part
		}
		v := s.group.violation("K2", s.why)
		v.Body = r.calls[s.call].Items[s.item].Body
		out = append(out, r.with(v, s.place))
	}
	for _, dead := range []bool{false, true} {
		r.each(dead, func(g *groupRun, m *message, t *track) {
			for _, d := range t.given {
				if why := r.phantom(m, d, dead); why != "" {
					out = append(out, r.with(r.about(g.violation("K2", why), m), d.place))
				}
			}
		})
	}
	return out
}

func (r *Run) phantom(m *message, d delivery, dead bool) string {
	switch {
	case m.result == Fail:
		return "its send was answered as failed"
	case d.end < m.start:
		return "delivered before it was sent"
	case !dead && r.altered(m, d):
		return "altered: body or attributes are not those that were sent"
	}
	return ""
}

func (r *Run) altered(m *message, d delivery) bool {
	got := r.calls[d.call].Items[d.item].Digest
	return got != "" && m.digest != "" && got != m.digest
}
