//! The database by itself: what is made at the first start, what survives, what is refused, and that nobody can buy what is not there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use tempfile::TempDir;

use super::{Sqlite as Database, *};
use crate::{money::Cents, random::Token};

const NOW: i64 = 1_793_714_700;
const POSTER: i64 = 6;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("shop.db")
}

fn basket_with(database: &mut Database, product: i64, quantity: i64) -> Token {
    match database.add_to_basket(None, product, quantity, NOW).unwrap() {
        Added::Into(basket) => basket,
        other => panic!("{other:?}"),
    }
}

fn total(database: &Database, basket: &Token) -> Cents {
    database.basket(basket).unwrap().iter().map(BasketLine::total).sum()
}

fn order(database: &mut Database, basket: &Token) -> Outcome {
    let agreed = total(database, basket);
    database
        .place_order(basket, &Token::generate().unwrap(), "Ada", "", agreed, NOW)
        .unwrap()
}

fn is_in_wal_mode(path: &Path) -> bool {
    fs::read(path).unwrap()[18..20] == [2, 2]
}

#[test]
fn a_new_shop_has_products_and_no_orders() {
    let folder = folder();
    let database = Database::open(&file(&folder)).unwrap();
    assert_eq!(database.products_on_sale().unwrap().len(), 6);
    assert!(database.orders(i64::MAX).unwrap().is_empty());
    database.ping().unwrap();
    assert_eq!(database.secret().unwrap().len(), 32);
}

#[test]
fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let mut database = Database::open(&file(&folder)).unwrap();
    basket_with(&mut database, 1, 1);
    let mut seen = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        seen += 1;
    }
    assert_eq!(seen, 3, "the file, its log, and the log's index");
}

#[test]
fn the_first_write_makes_the_file_lasting() {
    let folder = folder();
    let mut database = Database::open(&file(&folder)).unwrap();
    assert!(!is_in_wal_mode(&file(&folder)));
    let basket = basket_with(&mut database, 1, 2);
    assert!(is_in_wal_mode(&file(&folder)));

    drop(database);
    let database = Database::open(&file(&folder)).unwrap();
    assert!(database.lasting);
    assert_eq!(database.basket_count(&basket).unwrap(), 2);
}

#[test]
fn an_order_is_written_with_full_durability_and_a_basket_is_not() {
    let folder = folder();
    let mut database = Database::open(&file(&folder)).unwrap();
    let level = |database: &Database| {
        database
            .connection
            .query_row("PRAGMA synchronous", [], |row| row.get::<_, i32>(0))
            .unwrap()
    };
    let basket = basket_with(&mut database, 1, 1);
    assert_eq!(level(&database), 1, "NORMAL");
    assert_eq!(order(&mut database, &basket), Outcome::Placed(1001));
    assert_eq!(level(&database), 2, "FULL");
}

#[test]
fn an_unused_file_that_was_cut_anywhere_is_made_anew() {
    let folder = folder();
    let path = file(&folder);
    drop(Database::open(&path).unwrap());
    let whole = fs::read(&path).unwrap();
    assert_eq!(whole.len() % 4096, 0);
    for length in (0..whole.len()).step_by(4096).chain([whole.len() - 1]) {
        fs::write(&path, &whole[..length]).unwrap();
        let mut database = Database::open(&path).unwrap_or_else(|error| panic!("cut to {length}: {error}"));
        assert_eq!(database.products_on_sale().unwrap().len(), 6, "cut to {length}");
        let basket = basket_with(&mut database, 1, 1);
        assert_eq!(order(&mut database, &basket), Outcome::Placed(1001), "cut to {length}");
        drop(database);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn an_unused_file_with_a_page_that_never_arrived_is_made_anew() {
    let folder = folder();
    let path = file(&folder);
    drop(Database::open(&path).unwrap());
    let whole = fs::read(&path).unwrap();
    for page in 1..whole.len() / 4096 {
        let mut damaged = whole.clone();
        damaged[page * 4096..][..4096].fill(0);
        fs::write(&path, &damaged).unwrap();
        let database = Database::open(&path).unwrap_or_else(|error| panic!("page {page}: {error}"));
        assert_eq!(database.products_on_sale().unwrap().len(), 6, "page {page}");
    }
}

#[test]
fn a_file_of_zeros_is_a_new_file() {
    let folder = folder();
    fs::write(file(&folder), vec![0; 40_960]).unwrap();
    assert_eq!(
        Database::open(&file(&folder))
            .unwrap()
            .products_on_sale()
            .unwrap()
            .len(),
        6
    );
}

#[test]
fn an_unused_whole_file_is_kept() {
    let folder = folder();
    let secret = Database::open(&file(&folder)).unwrap().secret().unwrap();
    assert_eq!(Database::open(&file(&folder)).unwrap().secret().unwrap(), secret);
}

#[test]
fn a_used_file_that_is_damaged_is_reported_and_left_alone() {
    let folder = folder();
    let path = file(&folder);
    let mut database = Database::open(&path).unwrap();
    let basket = basket_with(&mut database, 1, 1);
    order(&mut database, &basket);
    drop(database);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..4096].fill(0);
    fs::write(&path, &bytes).unwrap();

    assert!(matches!(Database::open(&path), Err(OpenError::Sqlite { .. })));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let folder = folder();
    let path = file(&folder);
    fs::write(&path, b"Dear diary").unwrap();
    assert!(matches!(Database::open(&path), Err(OpenError::Foreign(_))));
    assert_eq!(fs::read(&path).unwrap(), b"Dear diary");

    fs::remove_file(&path).unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE diary (entry TEXT); INSERT INTO diary VALUES ('today')")
        .unwrap();
    let bytes = fs::read(&path).unwrap();
    assert!(matches!(Database::open(&path), Err(OpenError::Foreign(_))));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn an_empty_database_that_somebody_prepared_is_filled() {
    let folder = folder();
    for (name, prepare) in [
        ("rollback.db", "PRAGMA user_version = 0; VACUUM"),
        ("wal.db", "PRAGMA journal_mode = WAL"),
    ] {
        let path = folder.path().join(name);
        Connection::open(&path).unwrap().execute_batch(prepare).unwrap();
        let mut database = Database::open(&path).unwrap();
        let basket = basket_with(&mut database, 1, 1);
        assert_eq!(order(&mut database, &basket), Outcome::Placed(1001), "{name}");
    }
}

#[test]
fn a_database_of_a_later_version_is_refused() {
    let folder = folder();
    let mut database = Database::open(&file(&folder)).unwrap();
    basket_with(&mut database, 1, 1);
    database.connection.execute_batch("PRAGMA user_version = 2").unwrap();
    drop(database);
    assert!(matches!(Database::open(&file(&folder)), Err(OpenError::Newer(_))));
}

#[test]
fn a_folder_that_is_not_there_is_an_error_that_names_the_file() {
    let folder = folder();
    let path = folder.path().join("missing").join("shop.db");
    let error = Database::open(&path).unwrap_err().to_string();
    assert!(error.contains("missing/shop.db"), "{error}");
}

#[test]
fn stock_goes_with_the_order_and_never_below_zero() {
    let folder = folder();
    let mut database = Database::open(&file(&folder)).unwrap();
    let first = basket_with(&mut database, POSTER, 2);
    let second = basket_with(&mut database, POSTER, 2);
    assert_eq!(order(&mut database, &first), Outcome::Placed(1001));
    assert_eq!(order(&mut database, &second), Outcome::Short);
    assert_eq!(database.product(POSTER).unwrap().unwrap().stock, 1);
    assert_eq!(
        database.basket_count(&second).unwrap(),
        2,
        "a refused order leaves the basket"
    );
    assert_eq!(database.basket_count(&first).unwrap(), 0);
}

#[test]
fn one_key_is_one_order() {
    let folder = folder();
    let mut database = Database::open(&file(&folder)).unwrap();
    let basket = basket_with(&mut database, 1, 1);
    let (key, agreed) = (Token::generate().unwrap(), total(&database, &basket));
    let first = database.place_order(&basket, &key, "Ada", "", agreed, NOW).unwrap();
    assert_eq!(
        database.place_order(&basket, &key, "Ada", "", agreed, NOW).unwrap(),
        first
    );
    assert_eq!(database.orders(i64::MAX).unwrap().len(), 1);
}

#[test]
fn an_order_needs_the_agreed_price_and_something_in_the_basket() {
    let folder = folder();
    let mut database = Database::open(&file(&folder)).unwrap();
    let basket = basket_with(&mut database, 1, 1);
    let key = Token::generate().unwrap();
    assert_eq!(
        database
            .place_order(&basket, &key, "Ada", "", Cents::new(1), NOW)
            .unwrap(),
        Outcome::Repriced
    );
    assert_eq!(
        database.place_order(&key, &key, "Ada", "", Cents::new(0), NOW).unwrap(),
        Outcome::Empty
    );
    assert!(database.orders(i64::MAX).unwrap().is_empty());
}

#[test]
fn an_order_keeps_the_name_and_price_that_it_was_placed_with() {
    let folder = folder();
    let mut database = Database::open(&file(&folder)).unwrap();
    let basket = basket_with(&mut database, 2, 3);
    order(&mut database, &basket);
    let draft = Draft {
        name: "Cup".to_owned(),
        description: String::new(),
        price: Cents::new(1),
        stock: 5,
    };
    assert!(database.change_product(2, &draft, 37).unwrap());
    let order = database.order(1001).unwrap().unwrap();
    assert_eq!(
        (order.lines[0].name.as_str(), order.total()),
        ("Enamel mug", Cents::new(3600))
    );
}

#[test]
fn a_stock_changed_while_pieces_are_sold_counts_those_as_sold() {
    let folder = folder();
    let mut database = Database::open(&file(&folder)).unwrap();
    let product = database.product(1).unwrap().unwrap();
    let basket = basket_with(&mut database, 1, 10);
    order(&mut database, &basket);
    let draft = Draft {
        name: product.name,
        description: product.description,
        price: product.price,
        stock: product.stock + 5,
    };
    assert!(database.change_product(1, &draft, product.stock).unwrap());
    assert_eq!(database.product(1).unwrap().unwrap().stock, product.stock - 10 + 5);
    assert!(!database.change_product(999, &draft, 0).unwrap());
}

#[test]
fn shipping_keeps_its_first_date() {
    let folder = folder();
    let mut database = Database::open(&file(&folder)).unwrap();
    let basket = basket_with(&mut database, 1, 1);
    order(&mut database, &basket);
    assert!(database.mark_shipped(1001, NOW).unwrap() && database.mark_shipped(1001, NOW + 60).unwrap());
    assert_eq!(database.order(1001).unwrap().unwrap().shipped_at, Some(NOW));
    assert!(!database.mark_shipped(1, NOW).unwrap());
}

#[test]
fn a_basket_has_bounds() {
    let folder = folder();
    let mut database = Database::open(&file(&folder)).unwrap();
    let basket = basket_with(&mut database, 1, 60);
    database.add_to_basket(Some(&basket), 1, 60, NOW).unwrap();
    assert_eq!(database.basket_count(&basket).unwrap(), basket::QUANTITY_MAX);
    database.change_basket(&basket, 1, i64::MAX, NOW).unwrap();
    assert_eq!(database.basket_count(&basket).unwrap(), basket::QUANTITY_MAX);
    database.change_basket(&basket, 2, 5, NOW).unwrap();
    assert_eq!(database.basket(&basket).unwrap().len(), 1, "a change adds nothing");

    let draft = Draft {
        name: "Thing".to_owned(),
        description: String::new(),
        price: Cents::new(1),
        stock: 1,
    };
    for _ in 0..basket::LINES_MAX {
        assert!(database.add_product(&draft).unwrap());
    }
    for product in 7..7 + basket::LINES_MAX - 1 {
        assert_eq!(
            database.add_to_basket(Some(&basket), product, 1, NOW).unwrap(),
            Added::Into(basket.clone())
        );
    }
    assert_eq!(
        database
            .add_to_basket(Some(&basket), 7 + basket::LINES_MAX - 1, 1, NOW)
            .unwrap(),
        Added::Full
    );
    assert_eq!(
        database.add_to_basket(Some(&basket), 1, 1, NOW).unwrap(),
        Added::Into(basket),
        "what is in it can still grow"
    );
}

#[test]
fn the_shop_has_a_bounded_number_of_products() {
    let folder = folder();
    let mut database = Database::open(&file(&folder)).unwrap();
    let draft = Draft {
        name: "Thing".to_owned(),
        description: String::new(),
        price: Cents::new(1),
        stock: 1,
    };
    while database.add_product(&draft).unwrap() {}
    assert_eq!(database.all_products().unwrap().len(), catalogue::PRODUCTS_MAX as usize);
}

#[test]
fn a_forgotten_basket_makes_room_and_its_token_begins_no_new_one() {
    let folder = folder();
    let mut database = Database::open(&file(&folder)).unwrap();
    let old = basket_with(&mut database, 1, 1);
    let later = NOW + 31 * 24 * 60 * 60;
    let Added::Into(new) = database.add_to_basket(None, 2, 1, later).unwrap() else {
        panic!("the mug is on sale")
    };
    assert_eq!(database.basket_count(&old).unwrap(), 0);
    let Added::Into(replaced) = database.add_to_basket(Some(&old), 1, 1, later).unwrap() else {
        panic!("coffee is on sale")
    };
    assert!(replaced != old && replaced != new);
}

#[test]
fn a_withdrawn_product_cannot_be_bought() {
    let folder = folder();
    let mut database = Database::open(&file(&folder)).unwrap();
    let basket = basket_with(&mut database, 1, 1);
    assert!(database.set_withdrawn(1, true).unwrap());
    assert_eq!(database.products_on_sale().unwrap().len(), 5);
    assert_eq!(database.add_to_basket(None, 1, 1, NOW).unwrap(), Added::NotOnSale);
    assert_eq!(order(&mut database, &basket), Outcome::Short);
    assert!(database.set_withdrawn(1, false).unwrap());
    assert_eq!(order(&mut database, &basket), Outcome::Placed(1001));
    assert!(!database.set_withdrawn(999, true).unwrap());
}
