"""What `hikeshi connector new` begins with keeps the contract."""

from hikeshi.testing.contract_pytest import contract_tests
from hikeshi.testing.starters.edr.contract import CONTRACT as EDR
from hikeshi.testing.starters.firewall.contract import CONTRACT as FIREWALL
from hikeshi.testing.starters.identity.contract import CONTRACT as IDENTITY
from hikeshi.testing.starters.messaging.contract import CONTRACT as MESSAGING

test_edr = contract_tests(EDR)
test_firewall = contract_tests(FIREWALL)
test_identity = contract_tests(IDENTITY)
test_messaging = contract_tests(MESSAGING)
