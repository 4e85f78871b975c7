exception Refused { 1: string why }

service Echo {
  string echo(1: string text)
  string fail(1: string text) throws (1: Refused refused)
  string crash()
  oneway void note(1: string text)
  string noted()
}
