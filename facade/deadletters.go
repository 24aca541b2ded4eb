package facade

import "dms/mapping/dms"

// Dead letters are consumed and acknowledged like messages, but have no labels.

func (a *API) consumeDeadLetters(c *call) error {
	rec, err := c.receive(dms.Dead)
	if err != nil {
		return err
	}
	return a.consume(c, rec, withoutLabels)
}

func (a *API) ackDeadLetters(c *call) error { return a.acknowledge(c, dms.Dead) }
