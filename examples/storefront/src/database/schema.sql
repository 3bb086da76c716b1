-- The shop's tables, made once, in one transaction, together with the first products. A change here needs a new `SCHEMA` number and a migration.

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- A product is never deleted, because baskets and orders point at it: it is withdrawn.
CREATE TABLE products (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    price_cents INTEGER NOT NULL CHECK (price_cents >= 0),
    stock       INTEGER NOT NULL CHECK (stock >= 0),
    withdrawn   INTEGER NOT NULL DEFAULT 0 CHECK (withdrawn IN (0, 1))
) STRICT;

CREATE TABLE baskets (
    id         INTEGER PRIMARY KEY,
    token      TEXT NOT NULL UNIQUE,
    touched_at INTEGER NOT NULL
) STRICT;

CREATE TABLE basket_lines (
    basket   INTEGER NOT NULL REFERENCES baskets (id) ON DELETE CASCADE,
    product  INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL CHECK (quantity >= 1),
    PRIMARY KEY (basket, product)
) STRICT, WITHOUT ROWID;

-- The key opens the order's page, and comes from the checkout form: the same form sent twice is one order.
CREATE TABLE orders (
    number     INTEGER PRIMARY KEY,
    key        TEXT NOT NULL UNIQUE,
    customer   TEXT NOT NULL,
    note       TEXT NOT NULL,
    placed_at  INTEGER NOT NULL,
    shipped_at INTEGER
) STRICT;

-- Name and price as they were when the order was placed.
CREATE TABLE order_lines (
    order_number INTEGER NOT NULL REFERENCES orders (number),
    product      INTEGER NOT NULL REFERENCES products (id),
    name         TEXT NOT NULL,
    price_cents  INTEGER NOT NULL,
    quantity     INTEGER NOT NULL CHECK (quantity >= 1),
    PRIMARY KEY (order_number, product)
) STRICT, WITHOUT ROWID;
