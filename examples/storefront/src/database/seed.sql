-- What a new shop sells, until its owner says otherwise.

INSERT INTO products (id, name, description, price_cents, stock) VALUES
    (1, 'Harbour coffee',     'Dark roast from a small roastery, whole beans, 500 g. Tastes of cocoa and hazelnut.', 1450, 60),
    (2, 'Enamel mug',         'Holds 350 ml, keeps warm by the fire, and takes a fall without complaint.',           1200, 40),
    (3, 'Wool blanket',       'Woven from recycled wool, 130 × 180 cm. Warm in the evening, light in a bag.',        5900, 12),
    (4, 'Canvas tote',        'Heavy cotton with long handles and a pocket inside for keys.',                        2200, 35),
    (5, 'Field notebook',     'A5, 160 pages of dotted paper that does not mind a fountain pen.',                     950, 80),
    (6, 'Lighthouse poster',  'Screen print in two colours, 50 × 70 cm, numbered by hand.',                          3400, 3);
